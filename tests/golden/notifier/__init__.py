"""Every message as it leaves, to be read by people; UPDATE_GOLDEN=1 writes them anew."""
