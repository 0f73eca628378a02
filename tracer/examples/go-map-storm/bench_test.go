package main

import (
	"reflect"
	"testing"
)

// BenchmarkSummarize reads the whole catalogue once per operation: `pages/op` of them divide what -benchmem says into what
// one request costs, with the fractions that whole numbers of one page would lose.
func BenchmarkSummarize(b *testing.B) {
	catalogue, err := newCatalogue(defaultItems, defaultFilled)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range variantNames() {
		summarize := variants[name](catalogue)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			entries := 0
			for round := 0; round < b.N; round++ {
				for number := uint64(0); number < catalogue.pages(); number++ {
					entries += summarize(catalogue.page(number)).Entries
				}
			}
			b.ReportMetric(float64(catalogue.pages()), "pages/op")
			if entries == 0 {
				b.Fatal("nothing was read")
			}
		})
	}
}

func TestEveryVariantGivesTheSameAnswers(t *testing.T) {
	catalogue, err := newCatalogue(8*pageItems, 3)
	if err != nil {
		t.Fatal(err)
	}
	expected := variants["baseline"](catalogue)
	for _, name := range variantNames() {
		summarize := variants[name](catalogue)
		for round := 0; round < 2; round++ {
			for number := uint64(0); number < catalogue.pages(); number++ {
				page := catalogue.page(number)
				if got, want := summarize(page), expected(page); got != want || got.Entries == 0 {
					t.Errorf("%s, page %d: %+v, not %+v", name, number, got, want)
				}
			}
		}
	}
}

func TestThePauseOfEveryCycleIsToldOnceOrCountedAsForgotten(t *testing.T) {
	reader := newStatsReader()
	first := reader.read(7, 0, true)
	runCollections(3)
	next := reader.read(9, first.GcCycles, false)
	if next.GcCycles < first.GcCycles+3 || int64(len(next.Pauses)) != next.GcCycles-first.GcCycles {
		t.Errorf("%d cycles, then %d, and %d pauses between", first.GcCycles, next.GcCycles, len(next.Pauses))
	}
	if first.Memstats == nil || next.Memstats != nil || first.Requests != 7 {
		t.Errorf("memstats only where they are wanted, requests as given: %+v, %+v", first, next)
	}
	if reflect.DeepEqual(first.AllocObjects, next.AllocObjects) {
		t.Error("nothing was allocated by three collections and a reading")
	}
	runCollections(300)
	last := reader.read(9, next.GcCycles, false)
	if last.PausesOverwritten < 300-256 || int64(len(last.Pauses))+last.PausesOverwritten != last.GcCycles-next.GcCycles {
		t.Errorf("%d pauses and %d forgotten ones of %d cycles", len(last.Pauses), last.PausesOverwritten, last.GcCycles-next.GcCycles)
	}
}

func TestAnImpossibleCatalogueIsRefused(t *testing.T) {
	for _, numbers := range [][2]int{{pageItems - 1, 1}, {pageItems, 0}, {-1, -1}} {
		if _, err := newCatalogue(numbers[0], numbers[1]); err == nil {
			t.Errorf("a catalogue of %v was made", numbers)
		}
	}
}
