"""Learning to drive from recorded drives: logs -> cache of samples -> trained weights."""
