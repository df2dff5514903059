"""What a network costs: counted operations, measured speed, the ImageNet estimate."""
