"""The names of the metrics that every epoch of training has. Loads no torch."""

# Names of the training pass, of each measured split, and of times, which no comparison of bits includes.
OF_TRAINING = ("train/loss", "train/accuracy")
OF_A_SPLIT = ("loss", "loss_sdt", "loss_tet", "accuracy")
TIMES = ("epoch_time_s", "samples_per_s")
# Names of an epoch of a stage without a validation set.
OF_AN_EPOCH = (*OF_TRAINING, *(f"test/{name}" for name in OF_A_SPLIT), *TIMES)
