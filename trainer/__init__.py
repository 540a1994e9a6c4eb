"""Floor 2: reference models, training, evaluation. torch lives only here."""
