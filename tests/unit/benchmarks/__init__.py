"""How figures are reported."""
