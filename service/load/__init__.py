"""How much work is taken on."""
