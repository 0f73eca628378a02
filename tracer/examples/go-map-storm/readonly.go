package main

// sharedMap is a map that all share: it was filled once, and who has it can only read it.
type sharedMap struct {
	entries map[string]int
}

func (m sharedMap) get(key string) int { return m.entries[key] }

func (m sharedMap) size() int { return len(m.entries) }

func (m sharedMap) each(visit func(key string, value int)) {
	for key, value := range m.entries {
		visit(key, value)
	}
}

// shown is what is shown of one item.
type shown struct {
	attributes, labels, discounts view
}

// sharedMaps shows each item's maps, which were made once. An item without anything has none: reading nil is allowed.
type sharedMaps struct {
	items map[*item]shown
}

func newSharedMaps(c *catalogue) *sharedMaps {
	made := &sharedMaps{items: make(map[*item]shown, len(c.items))}
	for _, it := range c.items {
		made.items[it] = shown{share(it.attributes), share(it.labels), share(it.discounts)}
	}
	return made
}

func share(pairs []pair) view {
	if len(pairs) == 0 {
		return sharedMap{}
	}
	entries := make(map[string]int, len(pairs))
	for _, pair := range pairs {
		entries[pair.key] = pair.value
	}
	return sharedMap{entries}
}

func (s *sharedMaps) lookupAttributes(it *item) view { return s.items[it].attributes }

func (s *sharedMaps) lookupLabels(it *item) view { return s.items[it].labels }

func (s *sharedMaps) lookupDiscounts(it *item) view { return s.items[it].discounts }
