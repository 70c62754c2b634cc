"""The check of large documents in processes of their own, so that it delays no other answer."""
