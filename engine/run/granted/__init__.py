"""What a run's grants become for its proxy and its container, and how they are kept alive."""
