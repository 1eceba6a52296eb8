module durafleet.dev/dev/pause

go 1.26
