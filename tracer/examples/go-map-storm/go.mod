module go-map-storm

go 1.19
