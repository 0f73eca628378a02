package main

// nilMaps returns nil where there is nothing: a nil map can be read like an empty one, and is free.
type nilMaps struct{}

func (*nilMaps) lookupAttributes(it *item) map[string]int {
	if len(it.attributes) == 0 {
		return nil
	}
	attributes := map[string]int{}
	for _, pair := range it.attributes {
		attributes[pair.key] = pair.value
	}
	return attributes
}

func (*nilMaps) lookupLabels(it *item) map[string]int {
	if len(it.labels) == 0 {
		return nil
	}
	labels := map[string]int{}
	for _, pair := range it.labels {
		labels[pair.key] = pair.value
	}
	return labels
}

func (*nilMaps) lookupDiscounts(it *item) map[string]int {
	if len(it.discounts) == 0 {
		return nil
	}
	discounts := map[string]int{}
	for _, pair := range it.discounts {
		discounts[pair.key] = pair.value
	}
	return discounts
}

func (*nilMaps) giveBack(map[string]int) {}
