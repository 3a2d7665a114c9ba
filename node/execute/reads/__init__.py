"""What files a command reads, as the kernel tells it (Linux, seccomp user notification)."""
