"""The duplex model: ear, mind and mouth, from the caller's voice to the answer with no transcript between."""
