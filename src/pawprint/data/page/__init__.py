"""The audit page: what prepare found in the pictures, drawn before any training."""
