"""Look at an atlas: the browser viewer. ``atlas.view()`` and ``brainglobe view`` come here."""
