"""What frontal chest films have in common: cleaned masks, the cardiothoracic ratio, its gate."""
