module example/cars

go 1.19
