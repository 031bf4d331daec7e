package h2

// Budgets returns all kinds of floods, in the order of their numbers. The i-th has the
// number i + 1.
func Budgets() []Budget {
	list := make([]Budget, 0, floods-1)
	for b := NoFlood + 1; b < floods; b++ {
		list = append(list, b)
	}
	return list
}
