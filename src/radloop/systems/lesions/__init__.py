"""Parts of the systems that outline lesions on brain MRI."""
