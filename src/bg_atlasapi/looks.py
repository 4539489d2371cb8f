"""What there is to see of an atlas: viewer, plots, notebooks; thin over ``bg_atlasapi.view``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from bg_atlasapi.questions import Questions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.view.serving import Viewing
    from bg_atlasapi.view.style import StyleOptions


class Looks(Questions):
    """How an atlas shows itself."""

    def plot(  # noqa: PLR0913 - the everyday ones have names, all others are options
        self,
        plane: str | Sequence[float] = "coronal",
        position: Any = None,
        *,
        values: Any = None,
        column: Any = None,
        structures: Any = None,
        hemisphere: str = "both",
        unit: str = "um",
        ax: Any = None,
        **options: Unpack[StyleOptions],
    ) -> Any:
        """Draw slices with matplotlib: the template, regions, outlines, acronyms, a scale bar.

        Left is left and superior is up, whatever the atlas's orientation. The axes of an anatomical
        plane have the atlas's own coordinates, µm from the corner of voxel 0: draw points onto it.

        Parameters
        ----------
        plane
            ``"coronal"`` (or ``"frontal"``), ``"sagittal"`` or ``"horizontal"``; or a vector across
            an oblique plane, in the atlas's axes.
        position
            Along the axis across the plane, from the corner of voxel 0; or a structure: where most
            of it is. Of an oblique plane a point it goes through, or how far from the middle it
            lies. Several, in a list, make a grid of slices. Default: where most of what is drawn
            is, or the middle.
        values
            Numbers by structure, drawn as colours: a mapping, a Series or a DataFrame, as
            ``query.paint`` takes it. A structure has the value of the nearest listed one above it.
        column
            Of a DataFrame; may be left out if it has only one besides ``id``, ``acronym``,
            ``name``. Two, in a tuple: the values of the left, and of the right hemisphere.
        structures
            What to draw, each with all it consists of. Default: what has a value, else the labels
            as they are.
        hemisphere
            Where regions are drawn: ``"left"``, ``"right"`` or ``"both"``.
        unit
            Of positions: ``"um"``, ``"mm"`` or ``"voxel"``.
        ax
            Axes of matplotlib to draw one slice into; default a new figure.
        **options
            What it looks like: ``image``, ``alpha``, ``cmap``, ``vmin``, ``vmax``, ``outlines``,
            ``line_width``, ``line_colour``, ``smooth``, ``labels``, ``font_size``, ``scale_bar``,
            ``letters``, ``title``, ``colour_bar``, ``axes``, ``columns``, ``width``; see
            ``view.Style``.

        Returns
        -------
        matplotlib.axes.Axes or numpy.ndarray
            One; of a list of positions an array of as many. Save it with
            ``axes.figure.savefig(path)``.

        Raises
        ------
        InvalidInputError
            If something is not understood, a position lies outside the atlas, or matplotlib is
            missing.
        UnknownStructureError
            If a structure is not known.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> axes = atlas.plot("coronal", 7100, values={"TH": 2.5, "CTX": 1.0}, cmap="Reds")
        >>> axes.get_title()
        'coronal, AP 7.10 mm'
        """
        from bg_atlasapi.view.plotting import plot

        return plot(
            self,
            plane,
            position,
            values=values,
            column=column,
            structures=structures,
            hemisphere=hemisphere,
            unit=unit,
            ax=ax,
            options=options,
        )

    def view(  # noqa: PLR0913 - what can be shown, each by name
        self,
        structures: Any = (),
        *,
        position: Sequence[float] | None = None,
        points: PathLike | None = None,
        unit: str | None = None,
        values: PathLike | None = None,
        column: str | None = None,
        port: int = 0,
        browser: bool = True,
        wait: bool | None = None,
    ) -> Viewing:
        """Look at the atlas in the browser: slices, surfaces, regions; see ``view.viewer``.

        The page is served by this process to this machine only; nothing is fetched from elsewhere.

        Parameters
        ----------
        structures
            A structure, or a list: the first is selected, all are shown in 3-D.
        position
            Where the slices meet, µm; default in the middle.
        points, unit
            A file of points, to show and count by region; see ``lookup``.
        values, column
            A csv or tsv file with a column that names regions, and which column colours them.
        port
            Default: any that is free.
        browser
            Whether to open the browser.
        wait
            Whether to return only when the viewer is closed (Ctrl-C). Default: in a script, whose
            end would end the viewer; not where somebody types (IPython, Jupyter, ``python -i``).

        Returns
        -------
        Viewing
            Its ``url``, and ``close()``; a context manager.

        Raises
        ------
        InvalidInputError
            If the position lies outside, a file cannot be read, or the port is in use.
        UnknownStructureError
            If the atlas lacks a structure.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> with atlas.view("VISp", browser=False, wait=False) as viewing:
        ...     viewing.url
        'http://127.0.0.1:.../#s=385&m=385'
        """
        from bg_atlasapi.view.serving import Opening
        from bg_atlasapi.view.viewer import Wish, is_typed, start

        several = isinstance(structures, list | tuple)
        wish = Wish(
            position_um=position,
            structures=structures if several else (structures,),
            points=points,
            values=values,
            unit=unit,
            column=column,
            port=port,
        )
        viewing = start(self, wish, Opening()) if browser else start(self, wish)
        if wait if wait is not None else not is_typed():
            viewing.wait()
        return viewing

    def _repr_html_(self) -> str:
        """Show the atlas in a notebook: pictures, facts, how to cite it. Reads little."""
        from bg_atlasapi.view.notebooks import html_of

        return html_of(self, repr(self))

    def _held_image(self, name: str) -> Any:
        """Return an image that was handed out or assigned, and may have been edited; else None."""
        if name in ("template", "reference"):
            return self.__dict__.get("reference", self._kept.get("reference"))
        references = self._kept.get("additional_references")
        return None if references is None else references.data.get(name)
