// Package chart draws horizontal bars as SVG: panels of rows, all on one scale,
// every row with its name and its figures beside it, so that no legend is needed.
// The image is readable on light and dark pages, since it has a background of
// its own and follows prefers-color-scheme.
//
// The package knows nothing of what is compared. It measures text by widths that
// no usual font exceeds, because the font is known only where the image is shown.
package chart
