"""The discoverer: finds the models of every endpoint and says what came, changed and went."""
