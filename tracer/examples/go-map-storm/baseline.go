package main

// freshMaps is what the story begins with: every call makes a map, also of nothing, and lets it grow as it comes.
type freshMaps struct{}

func (*freshMaps) lookupAttributes(it *item) map[string]int {
	if len(it.attributes) == 0 {
		return map[string]int{}
	}
	attributes := map[string]int{}
	for _, pair := range it.attributes {
		attributes[pair.key] = pair.value
	}
	return attributes
}

func (*freshMaps) lookupLabels(it *item) map[string]int {
	if len(it.labels) == 0 {
		return map[string]int{}
	}
	labels := map[string]int{}
	for _, pair := range it.labels {
		labels[pair.key] = pair.value
	}
	return labels
}

func (*freshMaps) lookupDiscounts(it *item) map[string]int {
	if len(it.discounts) == 0 {
		return map[string]int{}
	}
	discounts := map[string]int{}
	for _, pair := range it.discounts {
		discounts[pair.key] = pair.value
	}
	return discounts
}

func (*freshMaps) giveBack(map[string]int) {}
