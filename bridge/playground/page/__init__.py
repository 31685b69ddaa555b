"""The playground's page: both platforms side by side, as people see them."""
