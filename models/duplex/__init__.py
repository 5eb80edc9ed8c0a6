"""How the duplex model is made: data, training, export, evaluation. PyTorch lives here and nowhere in the server."""
