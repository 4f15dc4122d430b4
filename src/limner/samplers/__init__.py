"""From noise to pictures: pure functions of a callable and explicit noise."""
