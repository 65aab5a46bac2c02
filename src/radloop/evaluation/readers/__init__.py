"""The model beside human readers: each of them, their groups, and readers helped by the model."""
