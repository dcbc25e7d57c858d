"""Making the image of a run, a layer a step, and removing those that no run needs."""
