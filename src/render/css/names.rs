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
