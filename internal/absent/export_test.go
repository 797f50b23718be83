package absent

// Made is of a type of this module that only a constructor makes.
type Made struct{ value any }

func NewMade() *Made { return &Made{value: 1} }

// Open is of one that others fill in.
type Open struct {
	Now func()
}
