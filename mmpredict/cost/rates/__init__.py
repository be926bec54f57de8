"""Step times from few published measurements: terms whose prices are fitted with beliefs, and what is uncertain about them."""
