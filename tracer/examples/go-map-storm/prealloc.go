package main

// sizedMaps says beforehand how much comes, so that no map grows; of nothing it makes none, as nilMaps.
type sizedMaps struct{}

func (*sizedMaps) lookupAttributes(it *item) map[string]int {
	if len(it.attributes) == 0 {
		return nil
	}
	attributes := make(map[string]int, len(it.attributes))
	for _, pair := range it.attributes {
		attributes[pair.key] = pair.value
	}
	return attributes
}

func (*sizedMaps) lookupLabels(it *item) map[string]int {
	if len(it.labels) == 0 {
		return nil
	}
	labels := make(map[string]int, len(it.labels))
	for _, pair := range it.labels {
		labels[pair.key] = pair.value
	}
	return labels
}

func (*sizedMaps) lookupDiscounts(it *item) map[string]int {
	if len(it.discounts) == 0 {
		return nil
	}
	discounts := make(map[string]int, len(it.discounts))
	for _, pair := range it.discounts {
		discounts[pair.key] = pair.value
	}
	return discounts
}

func (*sizedMaps) giveBack(map[string]int) {}
