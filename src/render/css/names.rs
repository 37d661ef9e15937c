//! The names of all properties, for those who misspell one.

/// As docs/TEMPLATES.md lists them; a test holds both together.
pub(in crate::render) const PROPERTIES: &str = "
    align-content align-items align-self background background-color border border-bottom
    border-bottom-color border-bottom-width border-collapse border-color border-left
    border-left-color border-left-width border-radius border-right border-right-color
    border-right-width border-spacing border-top border-top-color border-top-width border-width
    bottom box-sizing break-after break-before break-inside color column-gap display flex
    flex-basis flex-direction flex-grow flex-shrink flex-wrap font-family font-kerning font-size
    font-style font-variant-numeric font-weight gap height inset justify-content left
    letter-spacing line-break line-height list-style list-style-type margin margin-bottom
    margin-left margin-right margin-top max-height max-width min-height min-width orphans
    overflow-wrap padding padding-bottom padding-left padding-right padding-top page position
    right row-gap string-set table-layout text-align text-autospace text-decoration text-indent
    text-transform top vertical-align white-space widows width
";

/// What a page on a screen would say, and what a sheet of paper says in its place.
pub(in crate::render) const INSTEAD: [(&str, &str); 24] = [
    ("border-image", "a picture is an `img`; `border` is a line"),
    ("animation", STILL),
    ("background-image", "a picture is an `img`, behind others by `position: absolute`"),
    ("border-style", "it is a word of `border`: `0.5pt dashed #888`"),
    ("box-shadow", NO_BLUR),
    ("clear", "`display: flex` puts boxes side by side"),
    ("column-count", GRID),
    ("columns", GRID),
    ("content", "there are no pseudo-elements: what is printed stands in the template"),
    ("cursor", STILL),
    ("filter", NO_BLUR),
    ("float", "`display: flex` puts boxes side by side"),
    ("font", "`font-family`, `font-size`, `font-weight` and `line-height` say it one by one"),
    ("grid", GRID),
    ("grid-template-columns", GRID),
    ("opacity", NO_BLUR),
    ("overflow", "nothing is cut off: a box grows with what is in it"),
    ("page-break-after", "`break-after`"),
    ("page-break-before", "`break-before`"),
    ("page-break-inside", "`break-inside`"),
    ("text-shadow", NO_BLUR),
    ("transition", STILL),
    ("visibility", "`display: none`, or `{% if … %}` in the template"),
    ("z-index", "what comes later in the template is painted over what comes before"),
];
const GRID: &str = "`display: flex`, or a `table`, puts boxes into columns";
const NO_BLUR: &str = "colours are opaque: `border` and `background` set a box off";
const STILL: &str = "paper does not move; leave it out";
