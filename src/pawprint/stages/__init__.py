"""The stages of dvc.yaml, one file each: sample, prepare, train, evaluate, register, predict."""
