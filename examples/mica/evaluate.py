"""What a frozen encoder is worth: linear probe and nearest neighbours."""

from __future__ import annotations

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from examples.data.task import Labelled
from examples.mica.encoder import Encoder

PROBE_C = 0.1  # inverse regularisation of the linear probe
NEIGHBOURS = 5


@torch.no_grad()
def features(encoder: Encoder, clips: Tensor, batch_size: int = 128) -> Tensor:
    """Mean over frames of the encoder's features, [n, width]."""
    device = next(encoder.parameters()).device
    encoder.eval()
    return torch.cat([encoder(part.to(device)).mean(1).cpu() for part in clips.split(batch_size)])


def evaluate(encoder: Encoder, train: Labelled, test: Labelled) -> dict[str, float]:
    """Accuracy of a logistic regression and of 5 nearest neighbours (cosine)."""
    x, y = features(encoder, train.clips).double().numpy(), train.labels.numpy()
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=PROBE_C, max_iter=1000))
    near = make_pipeline(
        StandardScaler(), KNeighborsClassifier(NEIGHBOURS, metric="cosine", weights="distance")
    )
    test_x, test_y = features(encoder, test.clips).double().numpy(), test.labels.numpy()
    return {
        "linear probe": float(probe.fit(x, y).score(test_x, test_y)),
        "kNN": float(near.fit(x, y).score(test_x, test_y)),
    }
