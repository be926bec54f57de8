"""What a server does before it loads a model: its own rule for whether, and how, it fits."""
