"""What a person types beside the stages of the pipeline."""
