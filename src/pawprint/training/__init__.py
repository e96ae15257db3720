"""What training needs around a network: batches, augmentation, optimizers, loop, checkpoint."""
