package main

import "sort"

// summary is what a page of items comes to.
type summary struct {
	Items     int `json:"items"`
	Entries   int `json:"entries"`
	Weight    int `json:"weight"`
	Discounts int `json:"discounts"`
}

// summarizer reads a page.
type summarizer func(page []*item) summary

// variants are the ways to return what an item has, by the name of the flag.
var variants = map[string]func(*catalogue) summarizer{
	"baseline": func(*catalogue) summarizer { return fromMaps(&freshMaps{}) },
	"nil":      func(*catalogue) summarizer { return fromMaps(&nilMaps{}) },
	"prealloc": func(*catalogue) summarizer { return fromMaps(&sizedMaps{}) },
	"pool":     func(*catalogue) summarizer { return fromMaps(&pooledMaps{}) },
	"readonly": func(c *catalogue) summarizer { return fromViews(newSharedMaps(c)) },
}

func variantNames() []string {
	names := make([]string, 0, len(variants))
	for name := range variants {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// mapLookups are three functions that return maps, as a service has dozens of them. Whoever calls them does not know who
// answers: what they return is on the heap.
type mapLookups interface {
	lookupAttributes(*item) map[string]int
	lookupLabels(*item) map[string]int
	lookupDiscounts(*item) map[string]int
	// giveBack is called when a map has been read.
	giveBack(map[string]int)
}

func fromMaps(lookups mapLookups) summarizer {
	return func(page []*item) summary { return summarizeMaps(lookups, page) }
}

// summarizeMaps is the hot path: it asks three times for each item, and reads what it gets.
func summarizeMaps(lookups mapLookups, page []*item) summary {
	sum := summary{Items: len(page)}
	for _, it := range page {
		attributes := lookups.lookupAttributes(it)
		for _, value := range attributes {
			sum.Weight += value
		}
		labels := lookups.lookupLabels(it)
		discounts := lookups.lookupDiscounts(it)
		sum.Discounts += discounts["discount 0"]
		sum.Entries += len(attributes) + len(labels) + len(discounts)
		lookups.giveBack(attributes)
		lookups.giveBack(labels)
		lookups.giveBack(discounts)
	}
	return sum
}

// view is a map that cannot be written to.
type view interface {
	get(key string) int
	size() int
	each(func(key string, value int))
}

// viewLookups are the same three functions where maps are only shown.
type viewLookups interface {
	lookupAttributes(*item) view
	lookupLabels(*item) view
	lookupDiscounts(*item) view
}

func fromViews(lookups viewLookups) summarizer {
	return func(page []*item) summary { return summarizeViews(lookups, page) }
}

// summarizeViews is summarizeMaps for those who only show their maps.
func summarizeViews(lookups viewLookups, page []*item) summary {
	sum := summary{Items: len(page)}
	add := func(_ string, value int) { sum.Weight += value }
	for _, it := range page {
		attributes := lookups.lookupAttributes(it)
		attributes.each(add)
		labels := lookups.lookupLabels(it)
		discounts := lookups.lookupDiscounts(it)
		sum.Discounts += discounts.get("discount 0")
		sum.Entries += attributes.size() + labels.size() + discounts.size()
	}
	return sum
}
