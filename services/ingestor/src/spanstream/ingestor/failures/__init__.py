"""The dead-letter workbench: what failed, by cause; sent again, or discarded."""
