"""MICA (Sensors 2025): skeleton encoders with FreST, trained by contrast and by language."""
