// Package report keeps what bench/compare has measured and shows it: as JSON and
// CSV, as Markdown tables, as plots, and as the figures in README. It measures
// nothing, so a kept report can be shown again on any machine.
//
// What counts is the CPU time of a proxy's processes per request. Ratios of it
// are taken within the rounds and given as the median with the range.
package report
