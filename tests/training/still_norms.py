"""`rsgnet` whose batch norms stay as they are, for runs of one and of two processes that shall be compared.

In training a batch norm sees its own process's crops alone, so two processes with it are another network than one. All
else must come to the same.
"""

from torch import nn

from rsgnet.cli import main
from rsgnet.training.task import NetworkTask


def still(task: NetworkTask) -> None:
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


NetworkTask.on_train_epoch_start = still  # type: ignore[method-assign]
main()
