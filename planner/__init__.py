"""BEV features -> decision -> trajectory -> control."""
