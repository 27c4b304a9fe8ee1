"""Spectra of the Jacobian, the tangent kernel and the Hessian, and gradient noise."""
