"""Services, their actions and their live instances."""
