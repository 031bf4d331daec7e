module lb

go 1.26
