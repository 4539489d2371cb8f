"""Writers for what other tools read; ``formats.exporting`` names them."""
