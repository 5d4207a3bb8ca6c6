"""What comes next: functional forms, fits and forecasts."""
